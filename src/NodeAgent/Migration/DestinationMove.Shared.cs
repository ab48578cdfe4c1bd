using Evacuator.NodeAgent.Criu;
using Evacuator.NodeAgent.PageStore;
using Evacuator.NodeAgent.Transfer;

namespace Evacuator.NodeAgent.Migration;

/// <summary>Shared memory that arrived ahead of the images: each object is the image of its pages already, and takes the place of the empty one of the dump.</summary>
internal sealed partial class DestinationMove
{
    private readonly List<string> _sharedImages = [];

    private SharedPages NewShared(int number) => SharedPages.Create(Path.Combine(_tools.Paths.Shared(Id), $"{-(long)number}"));

    /// <exception cref="InvalidDataException">source, images and what arrived do not agree</exception>
    private void CompleteShared(IReadOnlyList<SharedArrival> arrivals)
    {
        string images = _tools.Paths.Images(Id);
        foreach (SharedArrival arrival in arrivals)
        {
            string name = PagemapImage.NameOfShared(arrival.Image);
            long here = _receiver.Shared.TryGetValue(arrival.Number, out SharedPages? pages) ? pages.Count : 0;
            if (here != arrival.Pages)
                throw new InvalidDataException($"{here} pages of shared memory {arrival.Image} are here, {arrival.Pages} were sent");
            PagemapImage image = File.Exists(Path.Combine(images, name)) ? PagemapImage.Read(File.ReadAllBytes(Path.Combine(images, name)))
                : throw new InvalidDataException($"the images have no {name}");
            if (image.Entries.Count > 0)
                throw new InvalidDataException($"{name} has content although it was sent ahead");
            if (pages is null || here == 0)
                continue;
            string content = Path.Combine(images, $"pages-{image.PagesId}.img");
            if (File.Exists(content) && new FileInfo(content).Length > 0)
                throw new InvalidDataException($"{Path.GetFileName(content)} has content although {name} has none");
            File.WriteAllBytes(Path.Combine(images, name), image.WithEntries(pages.Entries()).Write());
            File.Move(pages.Path, content, overwrite: true);
            _sharedImages.Add(content);
        }
    }

    /// <summary>Nobody reads it any more: the memory is given back. What an earlier life of the agent completed goes with the images.</summary>
    private void RemoveShared()
    {
        foreach (string content in _sharedImages)
            File.Delete(content);
        _sharedImages.Clear();
        foreach (SharedPages pages in _receiver.Shared.Values)
            pages.Dispose();
    }
}
