# cmake --install build/release --prefix DIR: the programs, the documents, and the commented sample configuration as this
# very polarkv prints it.
install(TARGETS polarkv polarctl kvbench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ARCHITECTURE.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(CODE "
  set(sample \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}/polarkv.conf\")
  message(STATUS \"Installing: \${sample}\")
  execute_process(COMMAND \"$<TARGET_FILE:polarkv>\" --print-config OUTPUT_FILE \"\${sample}\" COMMAND_ERROR_IS_FATAL ANY)")
