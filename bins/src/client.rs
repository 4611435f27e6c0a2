//! karst-client: takes local connections and carries them to a kcptun server.

fn main() -> std::process::ExitCode {
    bins::driver::run(bins::flags::Side::Client)
}
