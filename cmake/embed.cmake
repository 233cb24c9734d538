# cmake -DIN=FILE -DOUT=FILE.c -DNAME=NAME -P embed.cmake: a file's bytes as a C array.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
string(LENGTH "${hex}" digits)
math(EXPR count "${digits} / 2")
file(WRITE ${OUT} "#include \"net/${NAME}.h\"\n\nconst uint8_t ${NAME}[] = {\n${bytes}\n0};\nconst size_t ${NAME}_bytes = ${count};\n")
