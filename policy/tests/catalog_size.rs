//! How much a catalog holds: bytes of the allocator, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ringway_policy::catalog::Catalog;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed to the system allocator as it came; the counter is an atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// More models than any price list has today, each with the rates of a dear one.
const MODELS: usize = 6_000;
const HELD_MAX: usize = 8 << 20;
/// Of text, beside what is made from it: it is part of the program.
const TEXT_MAX: usize = 3 << 20;

#[test]
fn a_large_catalog_holds_less_than_eight_mebibytes() {
    let rates = "input=0.000003 input.above-200000=0.000006 cached_read=0.0000003 cached_write=0.00000375 cached_write_1h=0.000006 \
                 output=0.000015 output.above-200000=0.0000225 search_low=0.01 search=0.01 search_high=0.01";
    let row = |n: usize| {
        format!("provider-{p}/some-model-{n}-20250929\tprovider-{p}\tchat\t200000\t64000\tvision,tools\t-\t{rates}\t-\n", p = n % 90)
    };
    let text: String = (0..MODELS).map(row).collect();
    let before = HELD.load(Relaxed);
    let catalog = Catalog::read(&text);
    let held = HELD.load(Relaxed) - before;
    assert_eq!(catalog.iter().count(), MODELS);
    assert!(held + text.len().min(TEXT_MAX) < HELD_MAX, "{held} bytes beside {} of text", text.len());
    assert!(catalog.find("provider-1", "some-model-1").is_some());
}
