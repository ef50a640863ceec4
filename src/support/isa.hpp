#pragma once

namespace knowmap {

/// Instruction sets that kernels are compiled for (cmake: knowmap_add_kernels).
enum class Isa { generic, avx2, avx512 };

/// The best one that this machine runs; KNOWMAP_MAX_ISA=generic|avx2|avx512 in
/// the environment caps it, so that tests reach every kernel.
Isa best_isa();

}  // namespace knowmap
