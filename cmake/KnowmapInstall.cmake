# The C++ package: find_package(knowmap CONFIG REQUIRED), knowmap::knowmap.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Users of the library need none of its dependencies' headers, but the loader
# must find libtorch, which lives in the Python package.
set_target_properties(knowmap PROPERTIES INSTALL_RPATH "${TORCH_INSTALL_PREFIX}/lib")

install(TARGETS knowmap EXPORT knowmapTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/knowmap DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT knowmapTargets NAMESPACE knowmap:: FILE knowmapTargets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/knowmap)
configure_package_config_file(cmake/knowmapConfig.cmake.in
  ${PROJECT_BINARY_DIR}/knowmapConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/knowmap)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/knowmapConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/knowmapConfig.cmake ${PROJECT_BINARY_DIR}/knowmapConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/knowmap)
