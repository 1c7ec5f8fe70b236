//! Measures how long each test took, because stable libtest does not show it; `.ci/run` prints the slowest tests.
//! Called where a test first uses the bench.

use std::fs::File;
use std::io::Write;
use std::sync::LazyLock;
use std::thread;
use std::time::Instant;

/// The file that `.ci/run` names, one line a test: seconds and name.
static TIMES: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = std::env::var_os("BENCH_TIMES")?;
    Some(File::options().create(true).append(true).open(path).expect("the file of BENCH_TIMES"))
});

thread_local! {
    static RUNNING: RunningTest = RunningTest { began: Instant::now(), name: thread::current().name().map(str::to_owned) };
}

/// One test, from the bench's first use until the end of its thread: libtest runs each test in a thread with the test's
/// name.
struct RunningTest {
    began: Instant,
    name: Option<String>,
}

/// Starts to measure the test of this thread, unless it is measured already.
pub(crate) fn measure_this_test() {
    RUNNING.with(|_| {});
}

impl Drop for RunningTest {
    fn drop(&mut self) {
        let (Some(mut file), Some(name)) = (TIMES.as_ref(), self.name.as_deref()) else { return };
        // A thread without a module in its name does not run a test.
        if name.contains("::") {
            // One write per line, so that the lines of tests that end together stay whole.
            let line = format!("{:7.1} {name}\n", self.began.elapsed().as_secs_f64());
            file.write_all(line.as_bytes()).expect("room for the times of the tests");
        }
    }
}
