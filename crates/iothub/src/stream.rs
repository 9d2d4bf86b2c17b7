//! Receivers as streams.

/// Implements `Stream` for a receiver by its `next`, which keeps the waker, with the link or in the receiver, when its future is
/// dropped: one that is polled once and dropped misses nothing.
macro_rules! stream {
    ($receiver:ty => $item:ty, |$this:ident| $is_over:expr) => {
        impl futures_core::Stream for $receiver {
            type Item = Result<$item, Error>;

            /// The end of the link, with an error or without, is the end of the stream.
            fn poll_next(
                self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                let $this = self.get_mut();
                if $this.over {
                    return std::task::Poll::Ready(None);
                }
                let next = std::task::ready!(std::pin::pin!($this.next()).poll(context));
                // An error may be that of one message.
                $this.over = match &next {
                    Ok(next) => next.is_none(),
                    Err(_) => $is_over,
                };
                std::task::Poll::Ready(next.transpose())
            }
        }
    };
}

pub(crate) use stream;
