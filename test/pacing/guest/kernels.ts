/** The kernels that guests run: Debian's, by the suites whose meta package names them. */
export const KERNELS = {
  '6.12': { suites: ['bookworm-backports'] },
  '6.1': { suites: ['bookworm', 'bookworm-security'] },
} as const;

export type KernelName = keyof typeof KERNELS;

/** What the cases need of a kernel; those that it has built in are left out, those that these need are added. */
export const MODULES = [
  'veth',
  'ipv6',
  'sch_ingress',
  'cls_bpf',
  'sch_fq',
  'sch_htb',
  'sch_tbf',
  'tcp_bbr',
  'tcp_dctcp',
  'nf_tables',
  'nft_chain_nat',
  'nft_masq',
  'vxlan',
] as const;
