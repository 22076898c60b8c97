//! Whether this processor has tiles, and this system lets programs use them.

/// Whether products of tiles can be used here: the processor has them, the system saves their registers, and it gives this
/// process leave. Asked once; leave holds for all threads that are started afterwards and for those that are there.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn has_tiles() -> bool {
    use std::sync::OnceLock;

    static HERE: OnceLock<bool> = OnceLock::new();
    // Miri cannot ask a processor.
    *HERE.get_or_init(|| {
        !cfg!(miri) && x86::processor_has_tiles() && x86::system_saves_tiles() && x86::may_use_tiles()
    })
}

/// There are none.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn has_tiles() -> bool {
    false
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    /// Leaf 7, EDX: bf16 products and tiles themselves.
    const FEATURES: u32 = 1 << 22 | 1 << 24;
    /// XCR0: the configuration of tiles, and what they hold.
    const STATES: u64 = 1 << 17 | 1 << 18;

    pub fn processor_has_tiles() -> bool {
        __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & FEATURES == FEATURES
    }

    pub fn system_saves_tiles() -> bool {
        /// Leaf 1, ECX: the system has switched extended states on, so XCR0 can be read.
        const OSXSAVE: u32 = 1 << 27;

        #[target_feature(enable = "xsave")]
        unsafe fn xcr0() -> u64 {
            // SAFETY: the caller has asked for OSXSAVE; register 0 is there then.
            unsafe { _xgetbv(0) }
        }

        // SAFETY: reading XCR0 is allowed where OSXSAVE is set, as was just asked.
        __cpuid(1).ecx & OSXSAVE != 0 && unsafe { xcr0() } & STATES == STATES
    }

    /// Asks the system for leave: tiles are 8 KiB that it saves for each thread, on the stack of a signal too, so that a thread which
    /// has used them and overflows its stack may end without a word. Virtual machines may offer the instructions and
    /// refuse this.
    pub fn may_use_tiles() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XTILEDATA: libc::c_long = 18;

        // SAFETY: this call takes two numbers, reads and writes no memory of the process, and fails where it is not known.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    fn the_system_names_the_same_features() {
        let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // A system may hide what the processor has, and refuse it; it never adds any.
        let listed = ["amx_tile", "amx_bf16"].iter().all(|flag| flags.split_whitespace().any(|f| f == *flag));
        assert!(listed || !super::has_tiles() || flags.is_empty());
    }
}
