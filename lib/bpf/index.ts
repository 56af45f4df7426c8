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
export { Btf, parseBtf } from './btf.ts';
export { checkLayout, structLayout, type StructLayout } from './layout.ts';
