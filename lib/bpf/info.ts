import { bpfError } from './errno.ts';
import { cString } from './elf.ts';
import { libbpf } from './libbpf.ts';

/** What the kernel says about a map (struct bpf_map_info of linux/bpf.h). */
export interface MapInfo {
  readonly type: number;
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** At most 15 characters. */
  readonly name: string;
}

/** What the kernel says about a program (struct bpf_prog_info of linux/bpf.h). */
export interface ProgramInfo {
  readonly id: number;
  readonly runs: number;
  readonly runNs: number;
}

/** What the kernel says about a link (struct bpf_link_info of linux/bpf.h). */
export interface LinkInfo {
  /** BPF_LINK_TYPE_*. */
  readonly type: number;
  readonly id: number;
  readonly programId: number;
  /** Of type tcx: 0 once its device is gone. */
  readonly ifindex: number;
  /** Of type tcx: BPF_TCX_INGRESS, BPF_TCX_EGRESS. */
  readonly attachType: number;
}

const LINK_INFO_SIZE = 64;
const MAP_INFO_SIZE = 88;
const PROGRAM_INFO_SIZE = 232;

export function mapInfo(fd: number): MapInfo {
  const info = infoByFd(fd, MAP_INFO_SIZE);
  return {
    type: info.readUInt32LE(0),
    id: info.readUInt32LE(4),
    keySize: info.readUInt32LE(8),
    valueSize: info.readUInt32LE(12),
    maxEntries: info.readUInt32LE(16),
    flags: info.readUInt32LE(20),
    name: cString(info.subarray(24, 40), 0),
  };
}

export function programInfo(fd: number): ProgramInfo {
  const info = infoByFd(fd, PROGRAM_INFO_SIZE);
  return {
    id: info.readUInt32LE(4),
    runNs: Number(info.readBigUInt64LE(192)),
    runs: Number(info.readBigUInt64LE(200)),
  };
}

export function linkInfo(fd: number): LinkInfo {
  const info = infoByFd(fd, LINK_INFO_SIZE);
  return {
    type: info.readUInt32LE(0),
    id: info.readUInt32LE(4),
    programId: info.readUInt32LE(8),
    ifindex: info.readUInt32LE(16),
    attachType: info.readUInt32LE(20),
  };
}

/** At most 15 characters. */
export function programName(fd: number): string {
  return cString(infoByFd(fd, PROGRAM_INFO_SIZE).subarray(64, 80), 0);
}

function infoByFd(fd: number, size: number): Buffer {
  const info = Buffer.alloc(size);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(size);
  const status = libbpf().bpf_obj_get_info_by_fd(fd, info, length);
  if (status < 0) throw bpfError('BPF_SYSTEM_FAILED', `asking the kernel about BPF file descriptor ${fd}`, status);
  return info;
}
