/** What the CLI and the demo use of the lab. */
export { labUp, type LabUpOptions } from './up.ts';
export { labDown, labDownAll, pinDir, type LabDownOptions, type LabDownReport } from './down.ts';
export { labRun, type LabRunOptions, type LabRunResult } from './run.ts';
export {
  DEFAULT_LAB_NAME,
  DEFAULT_LAB_ROOT,
  limitsDir,
  openLab,
  scopeFile,
  snapshotFile,
  stateFile,
  type Lab,
  type LabNode,
  type LabPod,
  type LabState,
} from './state.ts';
export { annotatePod, bindPods, createPods, deletePods, movePods } from './pods.ts';
export { labEnv, nodeExec, podExec, registerProcess } from './exec.ts';
export { pauseTraffic, setTraffic, startTraffic } from './traffic/control.ts';
export { readCounters, readLab, readUplink, trueMatrix } from './counters-read.ts';
export { crossingBetween, type Crossing, type Reading, type UplinkCounters } from './crossing.ts';
export type { EdgeTotals, TrueMatrix, TruePodEdge, TrueWorkloadEdge } from './matrix.ts';
export { NODE_RANGE, POD_RANGE, SERVICE_RANGE } from './layout.ts';
export { nodesThatFit, renderPod, renderSnapshot } from './snapshot.ts';
export { DEFAULT_SCENARIO, loadScenario, shippedScenarios } from './scenario-load.ts';
export { parseScenario, type Bandwidth, type Scenario } from './scenario.ts';
