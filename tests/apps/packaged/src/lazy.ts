export default "loaded late" as string;
