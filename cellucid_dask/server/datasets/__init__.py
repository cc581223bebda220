"""What a server serves: live data, exports, and folders of exports."""
