knowmap_add_test(test_checkpoint_store STAGES support store
  LINK nlohmann_json::nlohmann_json knowmap_hdf5)
add_subdirectory(${PROJECT_SOURCE_DIR}/tests/faults ${PROJECT_BINARY_DIR}/tests/faults)
