//! HTTP/1.1 framing from outside: a table of hostile requests, hyper as a second opinion, random bytes.

mod against_hyper;
mod reader;
mod smoke;
mod table;
