//! KCP as kcp-go does it.
