//! Two futures at once, the first one wins.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::signal::Wait;

/// Which of two futures was first.
#[derive(Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Completes with the first of the two; the other one is dropped. Where both are ready, `left` wins.
pub fn race<A: Future, B: Future>(left: A, right: B) -> Race<A, B> {
    Race { left, right }
}

pin_project! {
    /// See `race`. A type of its own, because an async function would hold each future twice.
    pub struct Race<A, B> {
        #[pin]
        left: A,
        #[pin]
        right: B,
    }
}

impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.left.poll(context) {
            return Poll::Ready(Either::Left(output));
        }
        this.right.poll(context).map(Either::Right)
    }
}

/// Something that may leave while others wait.
pub(crate) trait Gone {
    /// Ready once the peer has ended or broken its side.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Appends what the peer sends next; 0 bytes where it has ended or broken its side.
    fn poll_more(&mut self, _context: &mut Context<'_>, _into: &mut Vec<u8>) -> Poll<usize> {
        Poll::Ready(0)
    }
}

/// Where nobody waits, nobody leaves.
pub(crate) struct Nobody;

impl Gone for Nobody {
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Also ready once `cut` is: the process does not wait any longer.
pub(crate) struct Watch<'a> {
    pub(crate) peer: &'a mut dyn Gone,
    pub(crate) cut: Wait<'a>,
}

impl Gone for Watch<'_> {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match pin!(&mut self.cut).poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.peer.poll_gone(context),
        }
    }

    fn poll_more(&mut self, context: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<usize> {
        match pin!(&mut self.cut).poll(context) {
            Poll::Ready(()) => Poll::Ready(0),
            Poll::Pending => self.peer.poll_more(context, into),
        }
    }
}

/// `future`, or `None` once `gone` is.
pub(crate) fn unless_gone<F: Future>(gone: &mut dyn Gone, future: F) -> UnlessGone<'_, F> {
    UnlessGone { gone, future }
}

pin_project! {
    /// See `unless_gone`.
    pub(crate) struct UnlessGone<'a, F> {
        gone: &'a mut dyn Gone,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for UnlessGone<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => this.gone.poll_gone(context).map(|()| None),
        }
    }
}
