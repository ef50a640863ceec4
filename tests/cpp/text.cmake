knowmap_add_test(test_tokenizer STAGES support text LINK nlohmann_json::nlohmann_json)
