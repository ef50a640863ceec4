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

# The regular expressions of tokenizer files. Linked statically where that can
# be: wheels should not need it on the user's machine.
find_path(PCRE2_INCLUDE_DIR pcre2.h)
find_library(PCRE2_LIBRARY NAMES libpcre2-8.a pcre2-8)
if(NOT PCRE2_INCLUDE_DIR OR NOT PCRE2_LIBRARY)
  message(FATAL_ERROR "PCRE2 was not found (Debian: libpcre2-dev)")
endif()
add_library(knowmap_pcre2 INTERFACE)
target_include_directories(knowmap_pcre2 SYSTEM INTERFACE ${PCRE2_INCLUDE_DIR})
target_link_libraries(knowmap_pcre2 INTERFACE ${PCRE2_LIBRARY})

# HDF5's C library alone. Linked statically and kept out of sight where that can
# be, since another HDF5 in the same process (h5py brings one) corrupts both when
# their symbols meet.
option(KNOWMAP_STATIC_HDF5 "Link the static HDF5 where there is one" ON)
find_path(HDF5_INCLUDE_DIR hdf5.h PATH_SUFFIXES hdf5/serial)
find_library(HDF5_LIBRARY NAMES hdf5_serial hdf5)
if(KNOWMAP_STATIC_HDF5 AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  find_library(HDF5_STATIC_LIBRARY NAMES libhdf5_serial.a libhdf5.a PATH_SUFFIXES hdf5/serial)
  foreach(name sz aec z)
    find_library(HDF5_${name}_LIBRARY NAMES lib${name}.a ${name})
  endforeach()
endif()
if(NOT HDF5_INCLUDE_DIR OR NOT (HDF5_LIBRARY OR HDF5_STATIC_LIBRARY))
  message(FATAL_ERROR "HDF5 was not found (Debian: libhdf5-dev)")
endif()
add_library(knowmap_hdf5 INTERFACE)
target_include_directories(knowmap_hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIR})
if(HDF5_STATIC_LIBRARY AND HDF5_sz_LIBRARY AND HDF5_z_LIBRARY)
  set(KNOWMAP_HDF5_IS_STATIC ON)
  target_link_libraries(knowmap_hdf5 INTERFACE ${HDF5_STATIC_LIBRARY} ${HDF5_sz_LIBRARY}
    $<$<BOOL:${HDF5_aec_LIBRARY}>:${HDF5_aec_LIBRARY}> ${HDF5_z_LIBRARY} m ${CMAKE_DL_LIBS}
    Threads::Threads)
else()
  target_link_libraries(knowmap_hdf5 INTERFACE ${HDF5_LIBRARY})
endif()

# libtorch is the one in the Python package, of the exact version that the
# package is built for: torch promises no ABI between releases.
if("device" IN_LIST KNOWMAP_STAGES)
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
