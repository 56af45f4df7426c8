import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LAYOUTS } from '../../collector/bpf/layout.ts';
import { bpfObjectPath, checkLayout, parseBtf } from '../../lib/bpf/index.ts';
import { parseElf } from '../../lib/bpf/elf.ts';

const path = bpfObjectPath('collector');
const bytes = readFileSync(path);

/** enum bpf_func_id: probe_read, probe_read_str and their user and kernel variants. */
const PROBE_READS = new Set([4, 45, 112, 113, 114, 115]);
const CALL = 0x85;
const INSTRUCTION_BYTES = 8;

describe('the collector’s object', () => {
  it('has the layouts that user space reads', () => {
    const section = parseElf(bytes, path).sections.find(({ name }) => name === '.BTF')!;
    const btf = parseBtf(section.data, path);
    for (const [name, layout] of Object.entries(LAYOUTS)) checkLayout(btf, name, layout);
  });

  it('reads no kernel memory by helper: under lockdown=confidentiality such a program does not load', () => {
    const programs = parseElf(bytes, path).sections.filter(({ name }) => /^(tp_btf|iter)\//.test(name));
    expect(programs.map(({ name }) => name).sort()).toEqual(['iter/bpf_sk_storage_map', 'tp_btf/inet_sock_set_state']);
    let calls = 0;
    for (const { data } of programs) {
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      for (let at = 0; at + INSTRUCTION_BYTES <= data.byteLength; at += INSTRUCTION_BYTES) {
        if (view.getUint8(at) !== CALL || view.getUint8(at + 1) >> 4 !== 0) continue;
        calls++;
        expect(PROBE_READS.has(view.getInt32(at + 4, true))).toBe(false);
      }
    }
    expect(calls).toBeGreaterThan(10);
  });
});
