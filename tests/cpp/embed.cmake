knowmap_add_test(test_batching STAGES support embed)
knowmap_add_test(test_embedder STAGES support embed store)
