export default function Lazy() {
  return <em>loaded late</em>;
}
