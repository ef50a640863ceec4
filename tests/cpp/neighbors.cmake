knowmap_add_test(test_neighbors STAGES support neighbors)
