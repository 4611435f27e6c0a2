#![no_main]
fuzz::target!(|data| fuzz::bodies::work_planted(data));
