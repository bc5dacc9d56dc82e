//! One wake-up of a thread for all its connections that have something to say.
//!
//! Waking a task of another thread's runtime costs a system call each. A batch of commits answers
//! dozens of connections: they are put on a list, and only the first of them wakes the thread.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// The list of one I/O thread.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waker>,
    /// Wakes the task that answers.
    answering: Option<Waker>,
}

/// Largest list whose memory is kept.
const KEPT: usize = 4096;

impl Bell {
    /// A bell, answered by a task on the runtime of the calling thread's context.
    pub fn hang(runtime: &tokio::runtime::Handle) -> Arc<Self> {
        let bell = Arc::new(Self::default());
        let mine = bell.clone();
        runtime.spawn(async move {
            let mut taken = Vec::new();
            poll_fn(|cx| mine.answer(cx, &mut taken)).await
        });
        bell
    }

    /// A waker that wakes `task` by way of this bell.
    pub(super) fn waker(self: &Arc<Self>, task: &Waker) -> Waker {
        Waker::from(Arc::new(Rope {
            bell: self.clone(),
            task: task.clone(),
        }))
    }

    /// Wakes everyone on the list; on the thread itself that is no system call.
    fn answer(&self, cx: &mut Context<'_>, taken: &mut Vec<Waker>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.answering.is_none() {
            state.answering = Some(cx.waker().clone());
        }
        std::mem::swap(&mut state.waiting, taken);
        drop(state);
        taken.drain(..).for_each(Waker::wake);
        if taken.capacity() > KEPT {
            *taken = Vec::new();
        }
        Poll::Pending
    }

    fn ring(&self, task: &Waker) {
        let mut state = self.state.lock();
        state.waiting.push(task.clone());
        let first = state.waiting.len() == 1;
        let answering = state.answering.clone().filter(|_| first);
        drop(state);
        if let Some(w) = answering {
            w.wake();
        }
    }
}

/// What wakes one connection.
struct Rope {
    bell: Arc<Bell>,
    task: Waker,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.bell.ring(&self.task);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.ring(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn many_are_woken_by_one_ring() {
        let bell = Arc::new(Bell::default());
        let (thread, tasks) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let ropes: Vec<_> = (0..50)
            .map(|_| bell.waker(&Waker::from(tasks.clone())))
            .collect();
        let mine = Waker::from(thread.clone());
        let (mut cx, mut taken) = (Context::from_waker(&mine), Vec::new());
        // Before anyone answers, nothing is lost: the first answer finds them.
        ropes.iter().for_each(Waker::wake_by_ref);
        assert!(bell.answer(&mut cx, &mut taken).is_pending());
        assert_eq!((thread.get(), tasks.get()), (0, 50));
        for round in 1..=3 {
            ropes.iter().for_each(Waker::wake_by_ref);
            assert_eq!((thread.get(), tasks.get()), (round, 50 * round));
            assert!(bell.answer(&mut cx, &mut taken).is_pending());
            assert_eq!((thread.get(), tasks.get()), (round, 50 * (round + 1)));
        }
    }

    #[test]
    fn nobody_is_forgotten_between_threads() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let bell = Bell::hang(runtime.handle());
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        let said = Arc::new(AtomicUsize::new(0));
        for _ in 0..8 {
            let (bell, tx, said) = (bell.clone(), tx.clone(), said.clone());
            runtime.spawn(async move {
                // Each task is told a hundred times, by a thread of its own, one by one.
                let mut told = 0;
                poll_fn(|cx| {
                    if told < said.load(Ordering::SeqCst) {
                        told += 1;
                        let _ = tx.send(());
                    }
                    if told == 100 {
                        return Poll::Ready(());
                    }
                    let rope = bell.waker(cx.waker());
                    let said = said.clone();
                    std::thread::spawn(move || {
                        said.fetch_add(1, Ordering::SeqCst);
                        rope.wake();
                    });
                    Poll::Pending
                })
                .await;
            });
        }
        drop(tx);
        let told = runtime.block_on(async {
            let mut told = 0;
            while rx.recv().await.is_some() {
                told += 1;
            }
            told
        });
        assert_eq!(told, 800);
    }
}
