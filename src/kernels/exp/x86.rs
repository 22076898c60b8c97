//! The exponential of a vector, by the same steps as [`exp`](super::exp) with fused multiply-adds, and with its bits.

use std::arch::x86_64::*;

use super::{COEFFICIENTS, HIGHEST, LN2_HIGH, LN2_LOW, LOWEST, ROUNDER};

/// eˣ of sixteen numbers.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn exp(x: __m512) -> __m512 {
    let all = _mm512_set1_ps;
    // What is no number is the second operand, and stays none.
    let clamped = _mm512_min_ps(all(HIGHEST), _mm512_max_ps(all(LOWEST), x));
    let rounded = _mm512_fmadd_ps(clamped, all(std::f32::consts::LOG2_E), all(ROUNDER));
    let n = _mm512_sub_ps(rounded, all(ROUNDER));
    let r = _mm512_fmadd_ps(n, all(-LN2_LOW), _mm512_fmadd_ps(n, all(-LN2_HIGH), clamped));
    let [first, rest @ ..] = COEFFICIENTS;
    let mut p = all(first);
    for coefficient in rest {
        p = _mm512_fmadd_ps(p, r, all(coefficient));
    }
    let p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), all(1.0));
    let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(rounded));
    let power = _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(127 << 23)));
    let is_nothing = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, all(LOWEST));
    _mm512_mask_blend_ps(is_nothing, _mm512_mul_ps(p, power), _mm512_setzero_ps())
}
