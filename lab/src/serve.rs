//! A guest's memory as a page in a browser, live, for one or many machines; and a playground that says what Linux would do.
//!
//! | module | what it is |
//! |---|---|
//! | [`machine`] | a machine with its sockets, watched all the time, and what it showed last |
//! | [`history`] | how sizes and zones came to be what they are |
//! | [`explain`] | what there is to say of one block or device |
//! | [`standalone`] | the playground as one file that needs no server |
//! | [`guard`] | who may ask for what |
//! | [`routes`] | what is answered to which request |
//! | [`stream`] | what a page is told while it is open |
//! | [`connections`] | a bounded number of clients, none of which is waited for |
//!
//! What the page draws, and what the playground answers, is in [`dimmer_forecast::playground`]. The page itself is in `page/`: plain HTML, style sheets and scripts, which the program has in it.

pub mod assets;
pub mod connections;
pub mod deeds;
pub mod explain;
pub mod guard;
pub mod history;
pub mod machine;
pub mod routes;
pub mod standalone;
pub mod stream;

pub use dimmer_forecast::playground;
