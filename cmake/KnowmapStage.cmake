# How a stage's library, its kernels and its tests are declared.

# knowmap_add_stage(<name> SOURCES <file>... [DEPENDS <stage>...] [LINK <library>...])
# makes the static library knowmap_<name> from files of src/<name>.
function(knowmap_add_stage name)
  cmake_parse_arguments(PARSE_ARGV 1 stage "" "" "SOURCES;DEPENDS;LINK")
  add_library(knowmap_${name} STATIC ${stage_SOURCES})
  target_include_directories(knowmap_${name} PUBLIC
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM stage_DEPENDS PREPEND knowmap_)
  target_link_libraries(knowmap_${name} PUBLIC ${stage_DEPENDS} PRIVATE ${stage_LINK})
  knowmap_set_warnings(knowmap_${name})
  set_property(GLOBAL APPEND PROPERTY KNOWMAP_STAGES knowmap_${name})
endfunction()

# Strict warnings and sanitizers are properties of our targets, not of the
# build: other people's headers are compiled as they are.
function(knowmap_set_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
    # GCC 12 sees overlaps in std::string's operator+ that are not there (PR 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    $<$<BOOL:${KNOWMAP_WARNINGS_AS_ERRORS}>:-Werror>)
  if(KNOWMAP_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=${KNOWMAP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${KNOWMAP_SANITIZE})
  endif()
  if(KNOWMAP_BUILD_FUZZERS AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # Lets libFuzzer see which branches an input takes.
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# knowmap_add_kernels(<stage> <file>... [EXTRA <isa>...]) compiles each file once for every
# instruction set, with KNOWMAP_ISA naming it; src/support/isa.hpp chooses one
# when the program runs. Such a file keeps all it defines in the namespace of
# its instruction set or in an unnamed one, and includes no header with inline
# functions that others share: the linker would keep one copy, and it might be
# one that this machine can't run.
function(knowmap_add_kernels stage)
  cmake_parse_arguments(PARSE_ARGV 1 kernels "" "" "EXTRA")
  set(isas generic)
  set(flags_generic "")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND isas avx2 avx512 ${kernels_EXTRA})
    set(flags_avx2 -mavx2 -mfma -mf16c)
    set(flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mfma -mf16c
      -mprefer-vector-width=512)
    set(flags_avxvnni ${flags_avx2} -mavxvnni)
    set(flags_avx512vnni ${flags_avx512} -mavx512vnni)
    # Every processor with the one has the other.
    set(flags_avx512bf16 ${flags_avx512vnni} -mavx512bf16)
    target_compile_definitions(knowmap_${stage} PRIVATE KNOWMAP_X86=1)
  endif()
  if(KNOWMAP_SANITIZE)
    # Under the address sanitizer GCC 12 lays 64-byte vectors on the stack out less
    # aligned than the alignment check wants them, and moves them accordingly.
    set(care -fno-sanitize=alignment)
  endif()
  foreach(file IN LISTS kernels_UNPARSED_ARGUMENTS)
    get_filename_component(name ${file} NAME_WE)
    foreach(isa IN LISTS isas)
      set(generated ${CMAKE_CURRENT_BINARY_DIR}/${name}_${isa}.cpp)
      file(CONFIGURE OUTPUT ${generated} CONTENT
        "#define KNOWMAP_ISA ${isa}\n#include \"${CMAKE_CURRENT_SOURCE_DIR}/${file}\"\n" @ONLY)
      set_source_files_properties(${generated} PROPERTIES
        COMPILE_OPTIONS "-O3;${flags_${isa}};${care}" OBJECT_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      target_sources(knowmap_${stage} PRIVATE ${generated})
    endforeach()
  endforeach()
endfunction()

# knowmap_link_stages(<target>) puts every stage into a shared library or a
# Python module, and keeps what comes with them out of sight.
function(knowmap_link_stages target)
  get_property(stages GLOBAL PROPERTY KNOWMAP_STAGES)
  foreach(stage IN LISTS stages)
    # The objects are named, so that none is left out; the archive that holds
    # them too is named for what it links to (CMake refuses WHOLE_ARCHIVE where
    # another stage depends on the same archive).
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${stage}>)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${stage}>)
  endforeach()
  if(KNOWMAP_HDF5_IS_STATIC AND TARGET knowmap_store)
    # Another HDF5 in the process must not meet ours; src/store/libc_streams.cpp
    # says why the two streams are wrapped.
    target_link_options(${target} PRIVATE
      -Wl,--exclude-libs,libhdf5.a:libhdf5_serial.a:libsz.a:libaec.a:libz.a
      -Wl,--wrap=stdout,--wrap=stderr)
  endif()
endfunction()

# knowmap_add_test(<name> [STAGES <stage>...] [LINK <library>...]) makes the
# GoogleTest program tests/cpp/<name>.cpp out of the stages it names.
function(knowmap_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "" "STAGES;LINK")
  foreach(stage IN LISTS test_STAGES)
    if(NOT stage IN_LIST KNOWMAP_STAGES)
      return()
    endif()
  endforeach()
  add_executable(${name} ${name}.cpp)
  list(TRANSFORM test_STAGES PREPEND knowmap_)
  target_link_libraries(${name} PRIVATE ${test_STAGES} ${test_LINK} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    KNOWMAP_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/reference")
  knowmap_set_warnings(${name})
  # A test that hangs ends with its name, long before the whole run would be cut off.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300)
endfunction()
