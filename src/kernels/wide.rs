//! Plain loops, compiled once more for wider vectors.

/// Defines a function whose body, a plain loop, is compiled for every processor, for those with AVX2 and FMA, and for those
/// with AVX-512, chosen at run time.
///
/// In the body the constant `FUSED` says whether a product and a sum are rounded once; [`mul_add`] takes it. Nothing else is
/// reassociated or fused, so both wide forms have the same bits.
macro_rules! on_widest {
    ($(#[$about:meta])* pub fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$about])*
        pub fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters)]
            fn plain<const FUSED: bool>($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::Isa;

                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    plain::<true>($($argument),*)
                }

                #[target_feature(enable = "avx512f")]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    plain::<true>($($argument),*)
                }

                // SAFETY: these sets have the instructions, those not named AVX-512 Foundation among them, and the processor was asked.
                #[allow(unsafe_code)]
                match Isa::of_loops() {
                    Isa::Plain => {}
                    Isa::Avx2 => return unsafe { avx2($($argument),*) },
                    _ => return unsafe { avx512($($argument),*) },
                }
            }
            plain::<false>($($argument),*)
        }
    };
}

/// `a * b + c`, rounded once if `FUSED`.
#[inline(always)]
pub(crate) fn mul_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction, rounding once is a call.
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

pub(crate) use on_widest;
