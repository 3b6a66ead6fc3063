# make demo · make test · make check
