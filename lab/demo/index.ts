export { compareMatrix, type ComparedEdge, type Comparison, type LearnedEdge } from './compare.ts';
export {
  answerText,
  clusterText,
  comparisonSentence,
  comparisonText,
  crossingText,
  errorText,
  movesText,
  wrap,
  type HostPriority,
  type Move,
} from './story.ts';
