//! Transactions (part 4), of both ends at once.

mod bank;
mod coordinator;
mod postings;
mod retirements;
