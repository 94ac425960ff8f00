//! The asynchronous runtime of a command.

use std::future::Future;

use super::failure::Failure;

/// Threads of the asynchronous runtime. Nothing computes there, so two keep up with any number of connections, and one
/// of them may be held up for a moment.
const ASYNC_THREADS: usize = 2;
/// Threads that may compute or wait for files. An image holds one from its decoding to its last row, mostly waiting for
/// tiles; `Pipeline::compute` bounds how many compute. Images beyond that wait for a thread.
const BLOCKING_THREADS: usize = 256;

/// Runs a command's asynchronous part. What still runs at its end is left behind.
pub fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("no threads can be started: {error}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(result)
}
