//! A vectorisable exponential.
//!
//! Softmax and SwiGLU evaluate more exponentials than a scalar `expf` can keep up with. This one is a
//! plain loop of multiplications and additions that compilers vectorise: `2^n · p(r)` with
//! `x = n·ln 2 + r`, `|r| ≤ ln 2 / 2`, and the minimax polynomial of the Cephes library (Moshier) for eʳ in single precision.

use super::wide::{mul_add, on_widest};

#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

/// Relative error of [`exp`] against f64 over its whole range.
#[cfg(test)]
const EXP_TOLERANCE: f64 = 2e-7;

/// Below this the result is 0 in f32 (smaller than the least normal number).
const LOWEST: f32 = -87.3;
/// Above this the result overflows.
const HIGHEST: f32 = 88.3;
/// Adding and subtracting it rounds an f32 to the nearest integer.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts: the high one has trailing zeros, so that n·LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// (eʳ − 1 − r) / r², least largest error over the interval, from the highest power down.
const COEFFICIENTS: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5];

/// eˣ; 0 below −87.3, the largest value at and above 88.3.
#[inline(always)]
pub fn exp<const FUSED: bool>(x: f32) -> f32 {
    let clamped = x.clamp(LOWEST, HIGHEST);
    let rounded = mul_add::<FUSED>(clamped, std::f32::consts::LOG2_E, ROUNDER);
    let n = rounded - ROUNDER;
    let r = mul_add::<FUSED>(n, -LN2_LOW, mul_add::<FUSED>(n, -LN2_HIGH, clamped));
    let [first, rest @ ..] = COEFFICIENTS;
    let p = rest.into_iter().fold(first, |p, coefficient| mul_add::<FUSED>(p, r, coefficient));
    let p = mul_add::<FUSED>(p, r * r, r) + 1.0;
    // The last bits of `rounded` are n in two's complement: moved to the exponent's place, with its bias.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x < LOWEST { 0.0 } else { p * power }
}

on_widest! {
    /// `gate[i] = silu(gate[i]) * up[i]`, silu(x) = x / (1 + e⁻ˣ).
    pub fn swiglu(gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "rows of one length");
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp::<FUSED>(-*gate)) * up;
        }
    }
}

/// √(2/π).
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

on_widest! {
    /// `x[i] = gelu(x[i])` in the form with tanh (Hendrycks & Gimpel 2016), `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    ///
    /// Written as `x / (1 + e⁻²ᵘ)`, which is the same.
    pub fn gelu_tanh(x: &mut [f32]) {
        for x in x {
            let u = SQRT_2_OVER_PI * *x * (1.0 + 0.044715 * *x * *x);
            *x /= 1.0 + exp::<FUSED>(-2.0 * u);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_its_tolerance() {
        let mut worst = 0.0f64;
        for i in -873_000..883_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            for found in [exp::<false>(x), exp::<true>(x)] {
                worst = worst.max((f64::from(found) - exact).abs() / exact);
            }
        }
        assert!(worst < EXP_TOLERANCE, "{worst}");
    }

    #[test]
    fn the_ends_are_quiet() {
        for exp in [exp::<false>, exp::<true>] {
            assert_eq!((exp(f32::NEG_INFINITY), exp(-100.0), exp(0.0)), (0.0, 0.0, 1.0));
            assert!(exp(f32::INFINITY).is_finite() && exp(f32::NAN).is_nan());
        }
    }

    #[test]
    fn swiglu_is_silu_times_up() {
        let mut gate = [-20.0f32, -1.0, 0.0, 1.0, 20.0];
        swiglu(&mut gate, &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let exact = |x: f64, up: f64| x / (1.0 + (-x).exp()) * up;
        for ((got, x), up) in gate.iter().zip([-20.0, -1.0, 0.0, 1.0, 20.0]).zip([1.0, 2.0, 3.0, 4.0, 5.0]) {
            assert!((f64::from(*got) - exact(x, up)).abs() < 1e-5);
        }
    }

    #[test]
    fn gelu_is_the_form_with_tanh() {
        for i in -4000..4000 {
            let x = i as f32 * 5e-3;
            let mut found = [x];
            gelu_tanh(&mut found);
            let wide = f64::from(x);
            let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044715 * wide.powi(3));
            let exact = wide / 2.0 * (1.0 + u.tanh());
            assert!(
                (f64::from(found[0]) - exact).abs() < 1e-6 * wide.abs().max(1.0),
                "{x}: {} {exact}",
                found[0]
            );
        }
    }
}
