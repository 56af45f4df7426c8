/**
 * libbpf through koffi: load, attach, pin and read BPF from this process. Nothing is loaded on import; the first call
 * that needs libbpf.so.1 opens it.
 */
export type {
  BatchVisitor,
  BpfIterLink,
  BpfLink,
  BpfMap,
  BpfObject,
  BpfProgram,
  LinkKind,
  LoadOptions,
  RunStats,
  TcDirection,
  TcxOptions,
  TestRun,
} from './types.ts';
export { ensureBpffs, isBpffs, isOwnBpffs, mountBpffs, unmountBpffs } from './bpffs.ts';
export { lockDirectory } from './dir-lock.ts';
export { Btf, parseBtf } from './btf.ts';
export { checkLayout, structLayout, type StructLayout } from './layout.ts';
export { clsactProgramId, removeClsactFilter, removeEmptyClsact, setClsactFilter } from './clsact.ts';
export { libbpfIsTested, libbpfVersion } from './libbpf.ts';
export { BpfLoadError } from './load-error.ts';
export { possibleCpus } from './libbpf.ts';
export { MapType, openPinnedMap } from './map.ts';
export { currentNetnsName, inNetns } from './netns.ts';
export { loadBpf } from './object.ts';
export { bpfObjectPath } from './objects-dir.ts';
export { PinnedTcLink } from './pinned-link.ts';
export { probeFeatures, type Feature, type Probe } from './probes.ts';
export { chainPrograms, programNameOf, type ChainProgram } from './tc-chain.ts';
export { ringBuffer, type RingBufferOptions, type RingBufferReader } from './ring-buffer.ts';
export { enableRunStats } from './run-stats.ts';
