//! karst-server: takes kcptun sessions and carries their streams to a target.

fn main() -> std::process::ExitCode {
    bins::driver::run(bins::flags::Side::Server)
}
