//! Memory of weights, in large pages.
//!
//! A step of decoding reads every weight once and does little with it. In pages of 4 KiB the processor spends as much time on
//! finding out where they are as on reading them: two Zen 4 cores read 33 GB/s so, and 60 in pages of 2 MiB. Systems give those
//! to whoever asks for them, in mappings that are large; so weights share mappings.

#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;

/// Bytes of a mapping that several weights share.
const REGION: usize = 32 << 20;
/// What begins in a mapping begins at a multiple of it: a cache line.
const LINE: usize = 64;

/// A mapping, which goes when the last one who has some of it does.
struct Region {
    start: NonNull<u8>,
    _map: MmapMut,
}

// SAFETY: the pointer is that of the mapping, which may be sent and shared; nobody reads or writes through a region itself.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Zeros.
    fn new(bytes: usize) -> Self {
        let map = MmapMut::map_anon(bytes);
        let mut map = map.unwrap_or_else(|_| {
            handle_alloc_error(Layout::from_size_align(bytes, LINE).expect("a size that memory could have"))
        });
        // Where the system has no such pages, it is as fast as it was.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Self { start: NonNull::new(map.as_mut_ptr()).expect("a mapping is somewhere"), _map: map }
    }
}

/// Zeros that nobody else has.
pub(super) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
    _region: Arc<Region>,
}

// SAFETY: the bytes belong to this value alone, as those of a `Vec<u8>` do, and their mapping may be sent and shared.
unsafe impl Send for Pages {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for Pages {}

/// Gives out mappings piece by piece, to things that come and go together: a mapping goes with the last of them.
#[derive(Default)]
pub struct PagePool {
    /// The mapping that is being given out, and how much of it has been.
    open: Mutex<Option<(Arc<Region>, usize)>>,
}

impl PagePool {
    /// One that has nothing yet.
    pub const fn new() -> Self {
        Self { open: Mutex::new(None) }
    }

    /// So many bytes, zero, from a cache line on.
    pub(super) fn zeros(&self, bytes: usize) -> Pages {
        let whole = bytes.checked_next_multiple_of(LINE).expect("a size that memory could have");
        if whole >= REGION {
            return Pages::at(Arc::new(Region::new(whole)), 0, bytes);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (region, used) = open
            .take()
            .filter(|(_, used)| used + whole <= REGION)
            .unwrap_or_else(|| (Arc::new(Region::new(REGION)), 0));
        let pages = Pages::at(Arc::clone(&region), used, bytes);
        *open = Some((region, used + whole));
        pages
    }
}

impl fmt::Debug for PagePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PagePool")
    }
}

impl Pages {
    fn at(region: Arc<Region>, from: usize, bytes: usize) -> Self {
        // SAFETY: the caller gives a place inside the mapping, and each only once.
        let start = unsafe { region.start.add(from) };
        Self { start, bytes, _region: region }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        // SAFETY: so many bytes of the mapping are this value's alone, they were zero at first, and the mapping lives as long.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the value is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_what_another_has() {
        let sizes = [1, 64, 1000, REGION / 2, REGION / 2 + 1, REGION, REGION + 100, 70_000];
        let pool = PagePool::new();
        let mut all: Vec<Pages> = sizes.iter().map(|&bytes| pool.zeros(bytes)).collect();
        // Some go while others stay.
        all.remove(3);
        all.extend([3 << 20, 64].map(|bytes| pool.zeros(bytes)));
        for (number, pages) in all.iter_mut().enumerate() {
            assert_eq!(pages.as_slice().as_ptr().align_offset(LINE), 0);
            assert!(pages.as_slice().iter().all(|&byte| byte == 0));
            pages.as_mut_slice().fill(number as u8 + 1);
        }
        for (number, pages) in all.iter().enumerate() {
            assert!(pages.as_slice().iter().all(|&byte| byte == number as u8 + 1), "{number}");
        }
    }

    #[test]
    fn they_are_there_for_every_thread() {
        let pool = &PagePool::new();
        std::thread::scope(|scope| {
            for number in 1..=8u8 {
                scope.spawn(move || {
                    for bytes in [100_000, 5 << 20, 64] {
                        let mut pages = pool.zeros(bytes);
                        assert!(pages.as_slice().iter().all(|&byte| byte == 0));
                        pages.as_mut_slice().fill(number);
                        assert!(pages.as_slice().iter().all(|&byte| byte == number));
                    }
                });
            }
        });
    }
}
