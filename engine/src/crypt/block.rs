//! Glue between the block ciphers written here and the `cipher` crate's closures, which CFB runs on.

/// Implements the `cipher` crate's encryption for a type with `encrypted(&self, [u8; N]) -> [u8; N]`.
macro_rules! impl_block_cipher {
    ($cipher:ty, $size:ty) => {
        impl ::cipher::BlockSizeUser for $cipher {
            type BlockSize = $size;
        }

        impl ::cipher::ParBlocksSizeUser for $cipher {
            type ParBlocksSize = ::cipher::consts::U1;
        }

        impl ::cipher::BlockCipherEncrypt for $cipher {
            #[inline]
            fn encrypt_with_backend(&self, f: impl ::cipher::BlockCipherEncClosure<BlockSize = $size>) {
                f.call(self);
            }
        }

        impl ::cipher::BlockCipherEncBackend for $cipher {
            #[inline(always)]
            fn encrypt_block(&self, mut block: ::cipher::InOut<'_, '_, ::cipher::Block<Self>>) {
                block.get_out().0 = self.encrypted(block.get_in().0);
            }
        }
    };
}

pub(super) use impl_block_cipher;
