//! Plain loops, compiled once more for wider vectors.

/// Defines a function whose body, a plain loop, is compiled twice: for every processor, and for those with AVX2, chosen at
/// run time. The results have the same bits: nothing is reassociated or fused.
macro_rules! on_widest {
    ($(#[$about:meta])* pub fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$about])*
        pub fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    plain($($argument),*)
                }

                if $crate::kernels::Isa::best() != $crate::kernels::Isa::Plain {
                    // SAFETY: every instruction set but `Plain` has AVX2, and `best` has asked the processor for it.
                    #[allow(unsafe_code)]
                    return unsafe { wide($($argument),*) };
                }
            }
            plain($($argument),*)
        }
    };
}

pub(crate) use on_widest;
