//! Wall-clock time of every case, with the allocator that the binary uses: `cargo bench -p ringway-bench [-- NAME]`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn all(criterion: &mut Criterion) {
    for case in ringway_bench::cases() {
        let mut prepared = (case.prepare)();
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Elements(prepared.units));
        group.bench_function("time", |bencher| bencher.iter(&mut prepared.step));
        group.finish();
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
