knowmap_add_test(test_model_files STAGES support model)
knowmap_add_test(test_transformer STAGES support model)
