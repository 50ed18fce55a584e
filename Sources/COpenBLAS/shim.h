#ifndef DUET_COPENBLAS_SHIM_H
#define DUET_COPENBLAS_SHIM_H

// cblas.h declares the products and openblas_get_corename(). Debian builds OpenBLAS without LAPACKE;
// the Fortran LAPACK prototypes that the compressor needs belong in this file too.
#include <cblas.h>

#endif
