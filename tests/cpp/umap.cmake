knowmap_add_test(test_umap STAGES support neighbors umap)
