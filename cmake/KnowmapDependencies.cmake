# Third parties: what the system has comes first.

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(nlohmann_json 3.9 REQUIRED)

find_path(UTF8PROC_INCLUDE_DIR utf8proc.h)
find_library(UTF8PROC_LIBRARY NAMES utf8proc)
if(NOT UTF8PROC_INCLUDE_DIR OR NOT UTF8PROC_LIBRARY)
  message(FATAL_ERROR "utf8proc was not found (Debian: libutf8proc-dev)")
endif()
add_library(knowmap_utf8proc INTERFACE)
target_include_directories(knowmap_utf8proc SYSTEM INTERFACE ${UTF8PROC_INCLUDE_DIR})
target_link_libraries(knowmap_utf8proc INTERFACE ${UTF8PROC_LIBRARY})

set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 REQUIRED COMPONENTS C)

# libtorch is the one in the Python package, of the exact version that the
# package is built for: torch promises no ABI between releases.
if("model" IN_LIST KNOWMAP_STAGES)
  set(KNOWMAP_TORCH_VERSION 2.13.0)
  if(NOT Torch_DIR AND NOT TORCH_PREFIX)
    find_package(Python COMPONENTS Interpreter QUIET)
    execute_process(
      COMMAND ${Python_EXECUTABLE} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
      OUTPUT_VARIABLE torch_package OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(torch_package)
      list(APPEND CMAKE_PREFIX_PATH ${torch_package})
    endif()
  endif()
  find_package(Torch REQUIRED)
  if(NOT Torch_VERSION VERSION_EQUAL KNOWMAP_TORCH_VERSION)
    message(FATAL_ERROR "knowmap is built against torch ${KNOWMAP_TORCH_VERSION}, found ${Torch_VERSION}")
  endif()
endif()
