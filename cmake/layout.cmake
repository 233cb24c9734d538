# cmake -DOUT=FILE.c -DFILES="A;B" -P layout.cmake: the number that names what these files say of the layout of memory.
set(all "")
foreach(file ${FILES})
  file(READ ${file} text)
  string(APPEND all "${text}")
endforeach()
string(SHA256 hash "${all}")
string(SUBSTRING ${hash} 0 16 hash)
file(WRITE ${OUT} "#include \"store/warm.h\"\n\nconst uint64_t store_layout_id = UINT64_C(0x${hash});\n")
