import { closeSync } from 'node:fs';
import { bpfError } from './errno.ts';
import { libbpf } from './libbpf.ts';

/** enum bpf_stats_type. */
const BPF_STATS_RUN_TIME = 0;

let holders = 0;
let statsFd = -1;

/**
 * Makes the kernel count runs and run time of all BPF programs of the machine while anybody holds it; about 40 ns a run.
 * Linux >= 5.8.
 * @throws NetloomError BPF_NOT_PERMITTED (CAP_SYS_ADMIN), BPF_SYSTEM_FAILED
 */
export function enableRunStats(): { close(): void } {
  if (holders === 0) {
    const fd = libbpf().bpf_enable_stats(BPF_STATS_RUN_TIME);
    if (fd < 0) throw bpfError('BPF_SYSTEM_FAILED', 'run statistics of BPF programs cannot be switched on', fd);
    statsFd = fd;
  }
  holders++;
  let held = true;
  return {
    close(): void {
      if (!held) return;
      held = false;
      if (--holders === 0) closeSync(statsFd);
    },
  };
}
