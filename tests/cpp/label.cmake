knowmap_add_test(test_labeler STAGES support neighbors label)
knowmap_add_test(test_regions STAGES support neighbors label)
knowmap_add_test(test_label_words STAGES support neighbors label LINK knowmap_utf8proc)
