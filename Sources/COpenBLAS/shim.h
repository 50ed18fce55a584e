#ifndef DUET_COPENBLAS_SHIM_H
#define DUET_COPENBLAS_SHIM_H

// cblas.h declares the products and openblas_get_corename().
#include <cblas.h>

// Debian builds OpenBLAS without LAPACKE, so the Fortran symbols are declared here: column-major, every
// argument by address. The hidden lengths of the character arguments, which gfortran appends, are
// never read by these routines, whose flags are single characters.

/// Factorises a positive definite matrix; info > 0 is the order of the first bad leading minor.
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix by divide and conquer.
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info);

/// The QR factorisation by reflections, and the first columns of Q from them.
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);

#endif
