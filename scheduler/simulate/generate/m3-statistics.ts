/**
 * What is known of a production cluster, ByteDance's M3 (scheduler/cluster/affinity-dataset.ts), as shapes from which
 * clusters of any size are drawn: counts by value, and curves of value by rank.
 */

/** Replicas of a service: [replicas, how many of the 547 services]. */
export const REPLICAS: readonly (readonly [number, number])[] = [
  [1, 191], [2, 117], [3, 62], [4, 29], [5, 22], [6, 16], [7, 14], [8, 11], [9, 8], [10, 9], [11, 7], [12, 9],
  [14, 5], [15, 4], [16, 1], [17, 3], [18, 2], [19, 1], [21, 2], [22, 2], [23, 2], [26, 4], [29, 1], [30, 2],
  [31, 4], [32, 1], [34, 3], [36, 2], [40, 1], [41, 1], [43, 1], [54, 1], [55, 1], [58, 2], [86, 1], [99, 1],
  [107, 1], [112, 1], [153, 1], [206, 1],
]; // prettier-ignore

/** Peers of a service that talks: [peers, how many of the 161]. */
export const DEGREES: readonly (readonly [number, number])[] = [
  [1, 49], [2, 29], [3, 26], [4, 15], [5, 15], [6, 6], [7, 4], [8, 3], [9, 1], [10, 1], [12, 2], [14, 2],
  [17, 1], [24, 1], [25, 1], [26, 1], [27, 2], [29, 1], [34, 1],
]; // prettier-ignore

/** Share of services that talk, by their replicas: up to so many. */
export const TALKING: readonly (readonly [number, number])[] = [
  [1, 0.236], [2, 0.205], [3, 0.323], [5, 0.333], [8, 0.366], [15, 0.429], [30, 0.35], [80, 0.706],
  [Infinity, 0.5],
]; // prettier-ignore
/** The same of all. */
export const TALKING_ALL = 161 / 547;

/** Traffic of a pair against the mean of all, by its place among them: (rank - 1/2) / 344. */
export const TRAFFIC: readonly (readonly [number, number])[] = (
  [
    [1, 50.7], [2, 26.5], [3, 22.7], [4, 22.5], [5, 18.4], [6, 15.4], [7, 12.3], [8, 11], [9, 8.15], [10, 6.84],
    [12, 6.37], [15, 5.17], [18, 4.72], [20, 4.6], [23, 3.16], [27, 2.67], [30, 2.08], [34, 1.52], [42, 1.18],
    [50, 0.98], [60, 0.77], [69, 0.601], [85, 0.482], [100, 0.401], [119, 0.244], [137, 0.13], [155, 0.0638],
    [172, 0.0426], [190, 0.0198], [206, 0.0126], [223, 0.00602], [240, 0.00216], [258, 0.000867], [275, 0.000461],
    [310, 2.57e-5], [344, 1.1e-8],
  ] as const
).map(([rank, traffic]) => [(rank - 0.5) / 344, traffic]); // prettier-ignore

/** CPU that a replica asks for, as a share of the mean node, by its place among all services. */
export const CPU_REQUEST: readonly (readonly [number, number])[] = [
  [0, 0.00153], [0.01, 0.00373], [0.05, 0.00384], [0.08, 0.0039], [0.1, 0.0075], [0.2, 0.0077], [0.25, 0.01146],
  [0.3, 0.01496], [0.4, 0.01508], [0.5, 0.01527], [0.6, 0.01543], [0.7, 0.01561], [0.75, 0.02268], [0.8, 0.02993],
  [0.85, 0.03055], [0.9, 0.03108], [0.95, 0.04466], [0.98, 0.0603], [0.99, 0.06169], [1, 0.0907],
]; // prettier-ignore

/** Cores of a node: [cores, how many of the 96]. The data give their ratios, 1 : 1.4 : 2.7 : 3.6. */
export const NODE_CORES: readonly (readonly [number, number])[] = [
  [36, 11], [52, 14], [64, 2], [96, 51], [128, 18],
]; // prettier-ignore
export const GIB_PER_CORE = 4;
