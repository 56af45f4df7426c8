import { release } from 'node:os';
import { libbpfIsTested, libbpfVersion, probeFeatures } from '../lib/bpf/index.ts';
import { messageOf } from '../lib/errors.ts';
import { featureReport, type FeatureReport, type MachineFacts } from './features.ts';
import { UplinkReader, type UplinkOptions } from './node/uplinks.ts';

/** Tries the kernel's features and looks at this machine; never rejects. Changes nothing that outlives the trial. */
export async function examineMachine(uplinks: UplinkOptions = {}): Promise<FeatureReport> {
  return featureReport(await probeFeatures(), {
    kernelRelease: release(),
    libbpf: libbpfFacts(),
    uplinks: new UplinkReader(uplinks).read(),
  });
}

function libbpfFacts(): MachineFacts['libbpf'] {
  try {
    return { version: libbpfVersion(), tested: libbpfIsTested() };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}
